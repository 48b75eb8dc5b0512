"""What a trained network looks at: its kernels, its last feature maps, and Grad-CAM.

Everything here is facts as arrays; nothing draws. Layers are found by watching a forward pass, so that any
network of timm's, of ours, or of the user's own can be explained.
"""
