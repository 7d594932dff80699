"""The verbs, each in a room of its own, on the floors below. They take a Session first, or objects that know theirs."""
