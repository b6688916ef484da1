"""Is the new one slower, and how sure is that?"""
