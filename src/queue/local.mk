# queue: see contrib/HACKING.md
