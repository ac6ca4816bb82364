"""An assistant as files, read and checked into objects: flows, replies, documents."""
