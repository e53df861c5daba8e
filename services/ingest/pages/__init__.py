"""What patients read: the signing page, the printed form, the receipt and the leaflet, in French and English."""
