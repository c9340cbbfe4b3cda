"""Client of II-Agent servers: sessions over their WebSocket, files and history over their REST interface."""
