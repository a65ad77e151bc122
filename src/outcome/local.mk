# outcome: see contrib/HACKING.md
