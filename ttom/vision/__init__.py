"""Pretrained vision models as transformers has them: text-prompted boxes, tracked masks, depth. They judge videos."""
