"""Word lists of the training grammar: closed vocabularies, all plain ASCII."""

GIRLS = "Anna Mia Lily Rosa Emma Nora Ella Ruby Clara Ivy Zoe Maya Lucy Ada Grace".split()
BOYS = "Tom Ben Max Sam Leo Finn Jack Noah Oscar Hugo Paul Adam Will Felix Omar".split()
ANIMAL_NAMES = "Pip Dot Bo Rusty Daisy Fluff Hazel Biscuit Pepper Sunny".split()

ANIMALS = ("dog cat fox bear rabbit mouse owl duck frog bird horse goat sheep hen "
           "turtle squirrel").split()
TRAITS = ("little kind brave clever shy young curious gentle quiet funny small "
          "careful").split()
OBJECTS = ("ball kite drum boat hat book lamp bell cup ring box key doll map scarf "
           "coin flute cart shell stone spoon basket mirror ribbon feather").split()
ADJECTIVES = ("red blue green yellow white shiny old new wooden silver golden round "
              "tiny pretty soft big").split()
GLAD = "happy glad proud excited cheerful thankful".split()
SAD = "sad worried scared lonely upset tired".split()
WEATHER = "sunny rainy windy cold warm snowy cloudy quiet".split()
TIMES = "morning day evening afternoon".split()
HOBBIES = ["sing", "dance", "run in the grass", "read books", "climb trees", "paint",
           "swim", "count the stars", "bake bread", "tell jokes", "look at clouds",
           "play games"]
THINGS = ("tree bush table bed chair log rock fence bench wagon door wall").split()
FOODS = ["apple pie", "warm bread", "sweet honey", "hot soup", "berry jam",
         "corn cakes", "plum cake", "red berries"]

# (preposition, place): "in the park"; the bare place follows "to".
PLACES = [("in", "the park"), ("in", "the forest"), ("in", "the garden"),
          ("by", "the river"), ("on", "the beach"), ("in", "the village"),
          ("at", "the market"), ("in", "the barn"), ("on", "the hill"),
          ("by", "the lake"), ("at", "the school"), ("near", "the old bridge"),
          ("at", "the farm"), ("in", "the meadow")]

# Things that are counted, as (singular, plural).
COUNTED = [(w, w + "s") for w in
           ("apple pear plum egg coin book shell stone cookie button flower pencil "
            "marble card cup nut sticker carrot balloon star ribbon lemon").split()]
HOLDERS = [("bag", "bags"), ("box", "boxes"), ("basket", "baskets"), ("jar", "jars"),
           ("bowl", "bowls"), ("tray", "trays"), ("shelf", "shelves"), ("cart", "carts")]

OPPOSITES = [tuple(p.split("/")) for p in
             ("hot/cold big/small up/down day/night wet/dry fast/slow old/new "
              "happy/sad open/closed full/empty hard/soft high/low light/dark "
              "long/short loud/quiet good/bad near/far left/right rich/poor "
              "early/late clean/dirty strong/weak in/out first/last win/lose "
              "laugh/cry sweet/sour thick/thin true/false awake/asleep").split()]

RHYMES = [g.split("/") for g in
          ("cat/hat/bat/mat/rat dog/log/fog/frog/jog sun/fun/run/bun king/ring/sing/wing "
           "bell/shell/well/tell tree/bee/sea/knee moon/spoon/soon/noon cake/lake/snake/rake "
           "mouse/house/blouse night/light/kite/bite boat/goat/coat/note star/car/jar/far "
           "bear/chair/pear/hair rain/train/plane/chain box/fox/socks ball/wall/tall/fall "
           "book/cook/hook/look nose/rose/hose/toes bed/red/head/bread clock/rock/sock/lock"
           ).split()]

CATEGORIES = {
    "animal": "dog cat fox bear rabbit mouse owl duck frog horse goat sheep hen lion tiger".split(),
    "fruit": "apple pear plum lemon grape peach cherry melon banana orange".split(),
    "colour": "red blue green yellow white black brown pink purple grey".split(),
    "number": "one two three four five six seven eight nine ten".split(),
    "part of the body": "hand foot nose ear arm leg head knee finger mouth".split(),
    "tool": "hammer saw spoon fork rake broom needle shovel brush ladder".split(),
}
