"""The world around Parley for development: embedded broker, stand-in MongoDB, the channels' side, load. No service and nothing shared imports it."""
