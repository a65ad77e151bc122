# simulator: see contrib/HACKING.md
