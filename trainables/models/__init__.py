"""Networks: our own, registered in timm's registry, and all that is done with networks through timm.

`import trainables.models` is all that another program needs before it loads one of our exports. Whatever
imports timm lives in this package, because the line below must come first.
"""

import trainables.torch_setup  # noqa: F401  (before timm imports torchvision)
from trainables.models import adapted, binary_cnn, ensemble, mini_xception, plain_cnn, small_resnet, vgg4_cnn

__all__ = ["adapted", "binary_cnn", "ensemble", "mini_xception", "plain_cnn", "small_resnet", "vgg4_cnn"]
