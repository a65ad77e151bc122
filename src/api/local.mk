# api: see contrib/HACKING.md
