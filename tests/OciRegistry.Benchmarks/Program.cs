using System.Globalization;
using OciRegistry.Benchmarks.Micro;
using OciRegistry.Benchmarks.Peers;
using OciRegistry.Benchmarks.Scenarios;
using OciRegistry.Benchmarks.Support;

// Those that delete 100,000 files come last: ext4 makes new ones slowly for some minutes after that.
IScenario[] all = [new SmallArtifacts(), new LockCost(), new AuthCost(), new PulledThrough(), new Cpu(), new Tls(), new MemoryLarge(), new MemoryMany(), new Gap(), new AzureBlobs(), new ImageForms(), new Start(), new TagsPage()];

string server = ServerProcess.BuiltExecutable();
string parent = Path.GetTempPath();
var withRedis = false;
var names = new List<string>();
var peers = new List<Peer>();
var rounds = ComparisonOptions.EnoughRounds;
var only = "";
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

        case ["--peer", var peer]:
            var (uri, process) = peer.Split(',') is [var text, var id] ? (text, id) : (peer, "");
            if (!Uri.TryCreate(uri, UriKind.Absolute, out var url) || url.Scheme != Uri.UriSchemeHttp)
            {
                return Usage($"'{uri}' is not the http address of a registry.");
            }

            peers.Add(new Peer(
                url.Authority, url, process.Length == 0 ? null : int.Parse(process, CultureInfo.InvariantCulture), HasManyTags: false));
            break;

        case ["--rounds", var number]:
            rounds = int.Parse(number, CultureInfo.InvariantCulture);
            break;

        case ["--load", var part]:
            only = part;
            break;

        case ["micro"]:
            MicroBenchmarks.Run();
            return 0;

        case ["all"]:
            names.AddRange(all.Select(scenario => scenario.Name));
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

if (names.Count == 0)
{
    var command = string.Join(' ', args.Where(argument => !argument.StartsWith("--folder", StringComparison.Ordinal)).Prepend("./tests/run.sh bench"));
    return await CompareAsync(new ComparisonOptions(server, peers, rounds, only, command));
}

var report = new Report();
foreach (var scenario in all.Where(scenario => names.Contains(scenario.Name)))
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

async Task<int> CompareAsync(ComparisonOptions options)
{
    using var folder = new TemporaryFolder(parent, options.IsFull ? Comparison.DiskGiB : Comparison.DiskGiB / 2);
    var compared = await new Comparison(options).RunAsync(folder);
    Console.WriteLine(compared);
    if (options.IsFull)
    {
        var results = Directory.CreateDirectory(Path.Combine(
            AppContext.BaseDirectory, "..", "..", "..", "..", "tests", "OciRegistry.Benchmarks", "results"));
        await File.WriteAllTextAsync(Path.Combine(results.FullName, $"{DateTime.UtcNow:yyyy-MM-dd}.md"), compared.ToString());
    }

    return compared.HasFailed ? 1 : 0;
}

int Usage(string problem)
{
    Console.Error.WriteLine($"""
        {problem}

        OciRegistry.Benchmarks [--peer=URL[,PID] ...] [--rounds=N] [--load=PART] [--server=EXECUTABLE] [--folder=FOLDER]
        OciRegistry.Benchmarks micro
        OciRegistry.Benchmarks all|scenario ... [--server=EXECUTABLE] [--folder=FOLDER] [--redis]

        Without a scenario, this registry and others are compared: docker-registry, if it is installed, and those that are
        named. A run of 5 rounds or more with all loads is kept in results/.

        micro: BenchmarkDotNet on digests, routing and the parsing of manifests.

          --peer     another registry that runs already, by http; its CPU and memory are measured if its process is named
          --rounds   how often each load is measured on each registry; default: 5
          --load     only the loads whose name contains this
          --server   the server to measure; default: the one that was built beside this program
          --folder   where the storage of the measured servers goes, and is deleted; default: the system's temporary folder
          --redis    the measured servers keep their locks in a redis-server that is started for each scenario

        Scenarios:
          {string.Join("\n          ", all.Select(scenario => $"{scenario.Name,-16} {scenario.Description}"))}
        """);
    return 2;
}
