"""Kotak Neo's feed: endpoints and limits in `kotak_adapter`, the wire in `kotak_mapping`."""
