using OciRegistry.Conformance;
using OciRegistry.Conformance.Areas;
using OciRegistry.Conformance.Reports;

const int CannotStart = 2;

if (args.Contains("--help"))
{
    Console.WriteLine(Options.Usage);
    return 0;
}

Options options;
IReadOnlyList<Area> areas;
try
{
    options = Options.Parse(args);
    areas = AllAreas.Selected(options);
}
catch (FormatException wrong)
{
    Console.Error.WriteLine($"{wrong.Message}\n\n{Options.Usage}");
    return CannotStart;
}

if (options.List)
{
    foreach (var area in areas)
    {
        foreach (var check in area.Checks)
        {
            Console.WriteLine($"{check.Level.ToString().ToUpperInvariant(),-6} {area.Name} | {check.Rule}");
        }
    }

    return 0;
}

using var registry = new Registry(options);
try
{
    // A server that is not there is no failure of its protocol.
    await registry.Request("GET", "/v2/").SendAsync();
}
catch (CheckFailedException unreachable)
{
    Console.Error.WriteLine($"{options.Url} cannot be reached: {unreachable.InnerException?.Message}");
    return CannotStart;
}

var outcomes = new List<Outcome>();
await foreach (var outcome in new Runner(registry, options).RunAsync(areas))
{
    outcomes.Add(outcome);
}

ConsoleReport.Write(Console.Out, outcomes, options.Verbose);
if (options.JUnitFile is { } file)
{
    JUnitReport.Write(file, outcomes);
}

return outcomes.Any(outcome => outcome.Failed) ? 1 : 0;
