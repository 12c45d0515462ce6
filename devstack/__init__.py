"""The world around Parley for development: an embedded broker, a stand-in MongoDB, the channels' side and load. Never imported by services or shared."""
