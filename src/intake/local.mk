# intake: see contrib/HACKING.md
