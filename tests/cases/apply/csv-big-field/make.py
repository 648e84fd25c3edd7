"""20 requests; the query of one of them is 200,000 characters long."""

with open("big.csv", "w") as out:
    out.write("ts,user,query\n")
    for i in range(20):
        out.write(f'{i},u{i},"{"long " * 40_000 if i == 7 else "short"}"\n')
