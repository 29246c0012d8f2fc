"""Writes pep440_oracle.txt: what Python's `packaging` says about versions and specifiers.

Run from anywhere with a Python that has `packaging`; the output does not change from run to run.
Sections, each "[name]", one row a line, fields between tabs:
  versions   text, normal form, rank (equal versions have equal ranks)
  invalid    text that is no version
  specs      specifier set, one digit per version above: 1 = accepted, 2 = accepted with pre-releases
             allowed, 3 = both, 0 = neither; the digits stand for the versions in order
  badspecs   text that is no specifier set
"""

import random
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

VERSIONS = """
0 0.0 0.dev0 0.0.1 1 1.0 1.0.0 1.0.0.0 v1.0 V1.0 1.0.dev 1.0.dev0 1.0.dev1 1.0-dev2 1.0_DEV3 1.0dev4
1.0a 1.0a0 1.0a1 1.0.a.1 1.0-alpha-1 1.0_ALPHA_2 1.0a- 1.0a1.dev1 1.0a1.post1 1.0a.post 1.0a1.post1.dev2
1.0b1 1.0beta2 1.0-beta.3 1.0c1 1.0rc1 1.0.rc2 1.0-pre3 1.0preview4 1.0RC 1.0rc1.post2.dev3
1.0-1 1.0.post 1.0.post0 1.0.post1 1.0-post2 1.0rev3 1.0.r4 1.0r-5 1.0.post1.dev0 1.0post1dev1 1.0.post1+l
1.0+l 1.0+L.1 1.0+ubuntu-1 1.0+ubuntu_1.2 1.0+1 1.0+10 1.0+2 1.0+a 1.0+a.b 1.0+1.a 1.0+001 1.0a1+x 1.0.dev1+y
1.1 1.1.0 1.1.dev1 1.1a1 1.1.1 1.2 1.2.3 1.2.3.4 1.2.10 1.7 1.7.0 1.7.0.post1 1.7.1 1.7.0+cu101 1.7.0rc1
1.9 1.10 1.13 1.13.0 1.13.1 1.13.1+cpu 1.13.0.dev20221010 1.14.0a0 1.14.0a0+410ce96 2.0 2.0.0 2.0.0rc1
2.0.0.dev20230101 2.0.0.dev20230101+cu118 2.0.1 2.0.0+cpu 2.1.0 2.1.0a0+git1234567 2.1.0a0+32f93b1
2.1.0+cu118 2.1.0+cu121 2.1.0.post1 2.1 2.2 2.2.0a1 2.3.0 2.3.0.dev1 2.3.1 2.6.0 2.13.0 2.13.0+cpu 3 3.0.dev0 3.0a1 3.0
1!0 1!1.0 1!1.0.post1 1!2.0a1 2!0.1 00001.00 1.00.1 2012.10 2012.10.1 20230101 18446744073709551615
""".split()

INVALID = """
- . a x 1.x 1.0x 1..0 .1 1. 1.0. 1.0- 1.0+ 1.0+. 1.0+a. 1.0+a..b 1.0+a+b 1.0al 1.0post1post2 1.0dev1a1 1.0dev1.post1
1.0.post1a1 1.0--1 1.0-1-1 1.0-a-b 1!!1 !1 1! a!1 1.0+é 1,0 1.0.* 1.0.nv23.05 2.0.0.nv23.05 1.13.1-debian 1.8.0.cuda11
vv1 v 1.0__a1 1.0a__1 1.0-1.2 1.0/1 french-toast 1.0a1b1 1.0rc1rc2 +1.0 -1.0 1.0rc-post 1:1.0
""".split()

SPECS = """
>=1.0 >=1.0a1 >=1.0.dev1 >=1.0.post1 >1.0 >1.0a1 >1.0.dev1 >1.0.post1 >1.0rc1.post2 >1.7 >1.7.0 >1.7.0rc1 <1.0 <1.0a1
<1.0.dev1 <1.0.post1 <=1.0 <=1.0a1 <=1.0.post1 <=1.0rc1 <2.0 <2.0rc1 <2.0.0.dev20230101 <=2.0 ==1.0 ==1.0.0 ==1 ==1.0a1
==1.0.dev1 ==1.0.post1 ==1.0-1 ==1.0+l ==1.0+1 ==1.0+ubuntu.1 ==1.0+UBUNTU-1 !=1.0 !=1.0a1 !=1.0+l !=1.0.post1 ==1.* ==1.0.*
==1.0.0.* ==1.7.* ==2.* ==2.1.* ==v2.* ==1!1.* ==0.* !=1.* !=1.0.* !=2.1.* !=1!1.* ~=1.0 ~=1.0.0 ~=1.7.0 ~=1.7 ~=2.0
~=2.1.0 ~=1.0a1 ~=1.0.post1 ~=1.0.dev1 ~=1.13.0rc1 ~=1!1.0 ~=2.2.0.post3 ===1.0 ===1.0.0 ===2.1.0+cu118 ===V1.0 ===1.0A1
==2.1.0 ==2.1.0+cu118 ==2.1.0+cu121 !=2.1.0+cu118 >=1.13 >=1.13,<2 >=1.13,<2.3 >=1.13,<2.3,!=2.0.0 >=2.0,!=2.1.* >=1.13,<3
>=2.0.0rc1 >=2.0.0.dev0 <=2.1.0 >2.1.0 <2.1.0 >=2.1.0 >=1!0 <1!0 <1!1.0 ==1!1.0 >=0 >0 <0 >=0.dev0 <=0 >=1.0,<1.0
>=1.0,<=1.0 !=1.0,!=2.0 >=1.0,,<2 ==2012.* >=2012 <2013 ~=2012.10 >=1.0b2,<1.0rc1 ==1.0-beta.3 >=18446744073709551615
""".split() + ["", ">= 1.0 , < 2.0", " ~= 2.1 ", "== 1.7.*", "=== 1.0"]

BAD_SPECS = """
1.0 =1.0 >1.0.* <2.* >=1.* ~=1 ~=1.* ==1.0a1.* ==1.0.post1.* ==1.0+l.* ==* ==1.0.*.* >=1.0+l <1.0+l <=1.0+l >1.0+l ~=1.0+l
>= == => =>1.0 >=x >=1.0;a ~1.0 ><1.0 >=1.0>2 !1.0 >=1.0|<2 >=1.0,x
""".split() + [">= 1. 0", ">=1.0 <2"]


def random_versions(count):
    rng = random.Random(440)
    pick = rng.choice
    while count:
        count -= 1
        text = pick(["", "", "", "", "1!"]) + pick(["1", "2", "1.0", "1.1", "2.1", "2.0.0", "1.10"])
        text += pick(["", "", pick([".", "-", "_", ""]) + pick(["a", "beta", "rc", "c", "pre"]) + pick(["", "1", "2", ".3"])])
        text += pick(["", "", pick([".post", "-", ".rev", "r", "_post-"]) + pick(["1", "2", "12"])])
        text += pick(["", "", pick([".dev", "dev", "-dev"]) + pick(["", "0", "5"])])
        yield text + pick(["", "", "", "+cpu", "+cu118", "+git.7", "+7"])


def versions_and_invalid():
    good, bad = [], []
    for text in dict.fromkeys([*VERSIONS, *random_versions(60), *INVALID]):
        try:
            good.append((text, Version(text)))
        except InvalidVersion:
            bad.append(text)
    return good, bad


def row(spec, texts):
    digits = []
    for text in texts:
        plain = spec.contains(text, prereleases=bool(spec.prereleases))
        digits.append(str(int(plain) + 2 * int(spec.contains(text, prereleases=True))))
    return "".join(digits)


def main():
    good, bad = versions_and_invalid()
    unique = sorted({version for _, version in good})
    rank = {version: i for i, version in enumerate(unique)}
    out = ["[versions]"] + [f"{text}\t{version}\t{rank[version]}" for text, version in good]
    out += ["[invalid]"] + bad + ["[specs]"]
    texts = [text for text, _ in good]
    out += [f"{spec}\t{row(SpecifierSet(spec), texts)}" for spec in SPECS]
    out += ["[badspecs]"]
    for spec in BAD_SPECS:
        try:
            SpecifierSet(spec)
            raise SystemExit(f"{spec!r} is a specifier after all")
        except InvalidSpecifier:
            out.append(spec)
    Path(__file__).with_name("pep440_oracle.txt").write_text("\n".join(out) + "\n")
    print(len(good), "versions,", len(bad), "invalid,", len(SPECS) * len(good), "pairs")


if __name__ == "__main__":
    main()
