"""What identity keeps: accounts and tries to sign in (MongoDB), the signing key (a file), passwords as hashes."""
