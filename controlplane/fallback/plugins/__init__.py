"""The plugins, one file each: what they do, when they run and how they are configured is APISIX's."""
