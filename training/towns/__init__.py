"""Makes the list of towns that the finder of identifying words knows (shared/deid/words/towns.tsv)."""
