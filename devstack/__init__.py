"""The world around Parley for development: broker, stand-in MongoDB, the channels' side, load. Nothing in services or shared imports it."""
