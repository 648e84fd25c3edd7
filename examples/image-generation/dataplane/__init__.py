"""A small image service whose whole configuration is one flag, resolved again for every request.

Purpose: to show a release of an image pipeline for real. Briefs are moderated, understood, drawn by a conditional flow
in its own latent space with a style adapter, watched while they are drawn, upscaled, marked, and moderated once more.

Not promised: pictures of good quality (it draws digits of 8 x 8 pixels, learned from 1,797 of them in seconds), or
protection from a hostile network (the control endpoints trust whoever can reach them from this machine).
"""
