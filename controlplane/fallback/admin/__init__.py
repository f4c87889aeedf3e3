"""The Admin API: the paths, codes and bodies of APISIX's."""
