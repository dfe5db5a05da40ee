"""What a run found out, written down: for programs, CI servers, GitHub and people. Each is made from results alone."""
