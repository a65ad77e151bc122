# mail: see contrib/HACKING.md
