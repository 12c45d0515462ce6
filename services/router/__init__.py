"""The router: who answers. Two reducers: `conversation` (by thread) opens, appends and owns; `dispatch` (by pool) gives work to agents."""
