using OciRegistry.Benchmarks.Scenarios;
using OciRegistry.Benchmarks.Support;

// Those that delete 100,000 files come last: ext4 makes new ones slowly for some minutes after that.
IScenario[] all = [new SmallArtifacts(), new LockCost(), new Cpu(), new MemoryLarge(), new MemoryMany(), new Gap(), new Start(), new TagsPage()];

string server = ServerProcess.BuiltExecutable();
string parent = Path.GetTempPath();
var withRedis = false;
var names = new List<string>();
foreach (var argument in args)
{
    switch (argument.Split('=', 2))
    {
        case ["--server", var path]:
            server = Path.GetFullPath(path);
            break;

        case ["--folder", var path]:
            parent = Path.GetFullPath(path);
            break;

        case ["--redis"]:
            withRedis = true;
            break;

        case [var name] when all.Any(scenario => scenario.Name == name):
            names.Add(name);
            break;

        default:
            return Usage($"'{argument}' is neither a scenario nor an option.");
    }
}

if (!File.Exists(server))
{
    return Usage($"There is no server at '{server}'.");
}

var report = new Report();
foreach (var scenario in all.Where(scenario => names.Count == 0 || names.Contains(scenario.Name)))
{
    var name = withRedis ? $"{scenario.Name} --redis" : scenario.Name;
    Console.Error.WriteLine($"{name} ...");
    using var folder = new TemporaryFolder(parent, scenario.DiskGiB);
    await using var redis = withRedis ? await RedisServer.StartAsync() : null;
    var bench = new Bench(server, redis, folder, report, name);
    var load = $"on {Environment.ProcessorCount} processors";
    bench.Add("load of the machine before", Machine.Load, load);
    await scenario.RunAsync(bench);
    bench.Add("load of the machine after", Machine.Load, load);
    if (redis is not null)
    {
        bench.Add("carried out by Redis", await redis.CommandsAsync(), "commands");
    }
}

Console.WriteLine(report);
return report.HasMissedAnAim ? 1 : 0;

int Usage(string problem)
{
    Console.Error.WriteLine($"""
        {problem}

        OciRegistry.Benchmarks [scenario ...] [--server=EXECUTABLE] [--folder=FOLDER] [--redis]

          --server   the server to measure; default: the one that was built beside this program
          --folder   where the storage of the measured servers goes, and is deleted; default: the system's temporary folder
          --redis    the measured servers keep their locks in a redis-server that is started for each scenario

        Scenarios (all, unless some are named):
          {string.Join("\n          ", all.Select(scenario => $"{scenario.Name,-16} {scenario.Description}"))}
        """);
    return 2;
}
