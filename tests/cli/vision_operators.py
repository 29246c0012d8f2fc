"""torchvision's operators without torchvision: their schemas, and what they compute in plain PyTorch."""

import torch

LIBRARY = torch.library.Library("torchvision", "DEF")
REGIONS = "Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width"


def nms(boxes, scores, threshold):
    kept = []
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    for i in scores.argsort(descending=True, stable=True).tolist():
        for j in kept:
            low, high = torch.maximum(boxes[i, :2], boxes[j, :2]), torch.minimum(boxes[i, 2:], boxes[j, 2:])
            shared = (high - low).clamp(min=0).prod()
            if shared / (area[i] + area[j] - shared) > threshold:
                break
        else:
            kept.append(i)
    return torch.tensor(kept, dtype=torch.int64)


def bilinear(image, y, x):
    """IMAGE [C, H, W] at one place: 0 beyond one pixel outside, the border within it."""
    height, width = image.shape[1:]
    if y < -1 or y > height or x < -1 or x > width:
        return image.new_zeros(image.shape[0])
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    dy, dx = y - top, x - left
    return (image[:, top, left] * (1 - dy) * (1 - dx) + image[:, top, right] * (1 - dy) * dx
            + image[:, bottom, left] * dy * (1 - dx) + image[:, bottom, right] * dy * dx)


def roi_align(x, rois, scale, height, width, samples, aligned):
    out = x.new_zeros(len(rois), x.shape[1], height, width)
    for r, roi in enumerate(rois.tolist()):
        shift = 0.5 if aligned else 0.0
        x1, y1, x2, y2 = [value * scale - shift for value in roi[1:]]
        w, h = x2 - x1, y2 - y1
        if not aligned:
            w, h = max(w, 1.0), max(h, 1.0)
        rows = samples if samples > 0 else max(-int(-h / height // 1), 0)
        columns = samples if samples > 0 else max(-int(-w / width // 1), 0)
        for i in range(height):
            for j in range(width):
                for a in range(rows):
                    for c in range(columns):
                        out[r, :, i, j] += bilinear(x[int(roi[0])], y1 + (i + (a + 0.5) / rows) * h / height,
                                                    x1 + (j + (c + 0.5) / columns) * w / width)
                out[r, :, i, j] /= max(rows * columns, 1)
    return out


def ps_roi_align(x, rois, scale, height, width, samples):
    everywhere = roi_align(x, rois, scale, height, width, samples, True)
    out = x.new_zeros(len(rois), x.shape[1] // (height * width), height, width)
    for channel in range(out.shape[1]):
        for i in range(height):
            for j in range(width):
                out[:, channel, i, j] = everywhere[:, (channel * height + i) * width + j, i, j]
    return out, torch.zeros(out.shape, dtype=torch.int32)


def roi_pool(x, rois, scale, height, width):
    out = x.new_zeros(len(rois), x.shape[1], height, width)
    for r, roi in enumerate(rois.tolist()):
        x1, y1, x2, y2 = [round(value * scale) for value in roi[1:]]
        h, w = max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)
        for i in range(height):
            for j in range(width):
                top, bottom = [min(max(value + y1, 0), x.shape[2]) for value in (i * h // height, -(-(i + 1) * h // height))]
                left, right = [min(max(value + x1, 0), x.shape[3]) for value in (j * w // width, -(-(j + 1) * w // width))]
                if bottom > top and right > left:
                    out[r, :, i, j] = x[int(roi[0]), :, top:bottom, left:right].amax((1, 2))
    return out, torch.zeros(out.shape, dtype=torch.int32)


def outside_is_zero(image, y, x):
    """IMAGE [C, H, W] at one place, zeros around it."""
    padded = torch.nn.functional.pad(image, (1, 1, 1, 1))
    if y <= -1 or y >= image.shape[1] or x <= -1 or x >= image.shape[2]:
        return image.new_zeros(image.shape[0])
    return bilinear(padded, y + 1, x + 1)


def deform_conv2d(x, weight, offset, mask, bias, sy, sx, py, px, dy, dx, groups, offset_groups, use_mask):
    count, channels = x.shape[:2]
    out_channels, _, kh, kw = weight.shape
    oh, ow = offset.shape[2:]
    columns = x.new_zeros(count, channels, kh * kw, oh, ow)
    each = channels // offset_groups
    for n in range(count):
        for g in range(offset_groups):
            image = x[n, g * each:(g + 1) * each]
            for k in range(kh * kw):
                for i in range(oh):
                    for j in range(ow):
                        place = 2 * (g * kh * kw + k)
                        y = i * sy - py + k // kw * dy + float(offset[n, place, i, j])
                        z = j * sx - px + k % kw * dx + float(offset[n, place + 1, i, j])
                        value = outside_is_zero(image, y, z)
                        columns[n, g * each:(g + 1) * each, k, i, j] = value * (mask[n, g * kh * kw + k, i, j] if use_mask else 1)
    columns = columns.reshape(count, groups, channels // groups * kh * kw, oh * ow)
    kernel = weight.reshape(groups, out_channels // groups, -1)
    return (kernel @ columns).reshape(count, out_channels, oh, ow) + bias.reshape(-1, 1, 1)


def define():
    def kept(boxes, *_):
        return boxes.new_empty(torch.library.get_ctx().new_dynamic_size(), dtype=torch.int64)

    def pooled(x, rois, scale, height, width, *_):
        return x.new_empty(rois.shape[0], x.shape[1], height, width)

    def pooled_pair(x, rois, scale, height, width, *_):
        out = pooled(x, rois, scale, height, width)
        return out, torch.empty_like(out, dtype=torch.int32)

    def selected(x, rois, scale, height, width, *_):
        out = x.new_empty(rois.shape[0], x.shape[1] // (height * width), height, width)
        return out, torch.empty_like(out, dtype=torch.int32)

    def convolved(x, weight, offset, *_):
        return x.new_empty(x.shape[0], weight.shape[0], *offset.shape[2:])

    ints = ", ".join("int " + name for name in (
        "stride_h", "stride_w", "pad_h", "pad_w", "dilation_h", "dilation_w", "groups", "offset_groups"))
    for schema, real, fake in (
            ("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor", nms, kept),
            (f"roi_align({REGIONS}, int sampling_ratio, bool aligned) -> Tensor", roi_align, pooled),
            (f"ps_roi_align({REGIONS}, int sampling_ratio) -> (Tensor, Tensor)", ps_roi_align, selected),
            (f"roi_pool({REGIONS}) -> (Tensor, Tensor)", roi_pool, pooled_pair),
            (f"deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, {ints}, bool use_mask) -> Tensor",
             deform_conv2d, convolved)):
        LIBRARY.define(schema)
        name = schema[:schema.index("(")]
        LIBRARY.impl(name, real, "CPU")
        torch.library.register_fake("torchvision::" + name, fake, lib=LIBRARY)


define()
