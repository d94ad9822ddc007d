"""Motilal Oswal's feed: endpoints and limits in `motilal_adapter`, the wire in `motilal_mapping`."""
