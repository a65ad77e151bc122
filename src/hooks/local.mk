# hooks: see contrib/HACKING.md
