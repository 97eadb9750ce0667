"""The one class that TorchServe's image_classifier makes without arguments."""

from torchvision.models.resnet import BasicBlock, ResNet


class Classifier(ResNet):
    def __init__(self):
        super().__init__(BasicBlock, [2, 2, 2, 2], num_classes=12)
