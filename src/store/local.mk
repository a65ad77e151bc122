# store: see contrib/HACKING.md
