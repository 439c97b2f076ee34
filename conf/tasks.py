def dispatch(c,d): print(c.task, d)
