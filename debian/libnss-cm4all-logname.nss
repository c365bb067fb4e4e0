passwd last cm4all_logname
group last cm4all_logname
