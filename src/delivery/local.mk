# delivery: see contrib/HACKING.md
