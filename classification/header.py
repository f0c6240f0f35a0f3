"""Settings of stage 2, classification by patches of the lung. Edit and run, or override one: train.py epoch_max=2"""

# Data
dir_pairs = "output"  # folders of pairs, written by segmentation/inference.py: what split.py divides
dir_split = "data/split"  # {train,val,test}/<folder>/, made by split.py or by hand
file_metadata = "metadata.xls"  # the patients: the published cohort's, or a .csv (case or path, class, patient)
classes = [
    "normal",
    "bacterial=bacteria",
    "tuberculosis=Tuberculosis",
    "viral=virus+COVID-19",
]  # CLASS, CLASS=FOLDER or CLASS=FOLDER+FOLDER, as many folders as belong to it; [] takes each folder as a class

# Split
split_by = "patient"  # patient: no patient in two parts; image: as published, patients may cross
split_parts = [0.7, 0.1, 0.2]  # train, val, test
split_seed = 407  # draws the split
duplicate_distance = 32  # of 256 bits of near-duplicates' perceptual hashes; -1 looks for none
folds = 0  # 2 or more: so many folds instead, in folders fold1, fold2 ... of dir_split

# Results
dir_checkpoint = "checkpoint/classification"  # a folder for each test_name, with best.pt and last.pt
dir_save = "output/predictions"  # predictions.csv, metrics.json and figures of inference.py, in a folder test_name
test_name = "resnet18"  # name of the run
restart = False  # True throws an earlier run of this name away

# Input
approach = "local"  # patches that vote; global: the whole image at patch_size; dense: every window of one pass
img_size = 1024  # the masked image is img_size x img_size
resolution = 0  # images are brought to this many pixels a side first, so that copies of any size look alike; 0 is off
patch_size = 224  # side of a patch, in pixels of it
input_scaling = "auto"  # imagenet, lite (grey - 127) / 128, raw 0..255; auto: as the starting weights need

# Network
net_label = "resnet18"  # or resnet34, resnet50, densenet121, vgg11_bn, squeezenet1_0, 1_1, efficientnet_lite0, _lite2
pretrained = "imagenet"  # start from torchvision's ImageNet weights; none: from random ones
file_weights = None  # start training from this checkpoint's weights instead, or predict with them

# Training
seed = 407  # weights, order, patches and augmentation
epoch_max = 100  # epochs
num_batch_train = 16  # patches a step and process (images, for approach=dense)
num_patches = 1  # patches drawn from an image in an epoch
balanced = True  # draw as many patches of each class, in training only
learning_rate = 1e-5  # of Adam; 1e-5 belongs to ImageNet weights: choose another for others on validation
schedule = "constant"  # constant, or onecycle: up for a fifth of the run and down to nought
weight_decay = 0.1  # of Adam
lambda_l1 = 1e-5  # penalty on the sum of absolute weights
patience = 50  # stop after so many epochs without a better macro F1 in validation; 0 never does
num_train = 0  # so many training images only, drawn evenly from the classes; 0 is all

# Augmentation
flip = 0.5  # probability of a mirror image
rotation = 5.0  # degrees either way
copies = 0.0  # probability of another copy: resampling, JPEG, sharpening, edge enhancement, blur, noise
contrast = 0.0  # grey ** (1 +- up to this), and brightness by a fifth of it

# Vote
repeat = 100  # patches that vote on an image
repeat_val = 25  # the same in validation
vote = "majority"  # of the patches' classes; or mean of their probabilities
sampling = "random"  # centres uniform over the lung; or grid: evenly spaced over it
num_batch_test = 25  # patches a pass

# Machine
device = "auto"  # auto, cpu, cuda, mps
precision = "32-true"  # or tf32 (NVIDIA from Ampere on), bf16-mixed, 16-mixed
compile = None  # or inductor: torch.compile, slow to start, worth trying on a GPU; or another of its backends
num_workers = 2  # threads that read pairs ahead
cache_gb = 4.0  # memory for decoded images (1 MB each at 1024 x 1024); what exceeds it is read again each time
