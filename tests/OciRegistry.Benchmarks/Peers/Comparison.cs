using System.Diagnostics;
using System.Net.Sockets;
using OciRegistry.Benchmarks.Loads;
using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Peers;

/// <summary>Our registry and others under the same loads, in turns, so that whatever else the machine does falls on all.</summary>
internal sealed class Comparison(ComparisonOptions options)
{
    // Until its code has been compiled for good, a server of ours spends more on that than on small requests.
    private static readonly TimeSpan WarmupDuration = TimeSpan.FromSeconds(4);
    private static readonly TimeSpan RoundDuration = TimeSpan.FromSeconds(2);

    /// <summary>Free space that it needs.</summary>
    public const double DiskGiB = 50;

    public async Task<ComparisonReport> RunAsync(TemporaryFolder folder)
    {
        var started = Stopwatch.GetTimestamp();
        var report = new ComparisonReport(options);
        report.AddFact("load of the machine before", $"{Machine.Load:0.0}");
        await AddFloorsAsync(report, folder.Path);

        List<IStartedRegistry> registries = [new OurRegistry(options.Server)];
        if (DistributionRegistry.IsThere)
        {
            registries.Add(new DistributionRegistry());
        }
        else
        {
            report.AddFact("docker-registry", "not installed");
        }

        var servers = new List<ServerProcess>();
        var peers = new List<Peer>();
        try
        {
            foreach (var registry in registries)
            {
                report.AddFact(registry.Name, await registry.VersionAsync());
            }

            var isPrepared = options.Loads.Any(load => load.NeedsPreparedContent);
            if (isPrepared)
            {
                await PrepareAsync(registries, StorageOf);
                report.AddStarts(await StartInTurnsAsync(registries, StorageOf));
            }

            foreach (var registry in registries)
            {
                var server = await registry.StartAsync(StorageOf(registry));
                servers.Add(server);
                peers.Add(new Peer(registry.Name, server.Address, server.Id, isPrepared));
            }

            peers.AddRange(options.Peers);
            foreach (var load in options.Loads)
            {
                Measure(load, peers, report);
            }

            foreach (var peer in peers.Where(peer => peer.Process is not null))
            {
                report.AddMemoryAfterAll(peer, ResidentMemory.NowMiB(peer.Process!.Value));
            }
        }
        finally
        {
            foreach (var server in servers)
            {
                await server.DisposeAsync();
            }
        }

        report.AddFact("load of the machine after, this program's own with it", $"{Machine.Load:0.0}");
        report.AddFact("minutes in all", $"{Stopwatch.GetElapsedTime(started).TotalMinutes:0}");
        return report;

        string StorageOf(IStartedRegistry registry) => Path.Combine(folder.Path, registry.Name);
    }

    private static async Task AddFloorsAsync(ComparisonReport report, string folder)
    {
        report.AddFact("floor: SHA-256 in memory", $"{MachineFloors.HashCpuPerGiB():0.00} CPU s/GiB");
        var (cpu, rate) = MachineFloors.WriteAndSync(folder);
        report.AddFact("floor: write and sync of 1 GiB", $"{cpu:0.00} CPU s/GiB in the kernel, {rate / 1e6:0} MB/s");
        report.AddFact("floor: loopback socket to socket, both ends", $"{MachineFloors.LoopbackCpuPerGiB():0.00} CPU s/GiB");
        var (copied, sent) = MachineFloors.FileToLoopbackCpuPerGiB(folder);
        report.AddFact("floor: file in memory to loopback socket, the sender", $"{copied:0.00} CPU s/GiB copied, {sent:0.00} by sendfile");
        report.AddFact("floor: durable renames of small files × 16", $"{await MachineFloors.DurableRenamesAsync(folder, 16):0} /s");
    }

    private static async Task PrepareAsync(List<IStartedRegistry> registries, Func<IStartedRegistry, string> storageOf)
    {
        foreach (var registry in registries)
        {
            Console.Error.WriteLine($"{registry.Name}: preparing its storage ...");
            await registry.PrepareAsync(storageOf(registry));
        }

        Disk.Sync();
        await Task.Delay(TimeSpan.FromSeconds(2)); // of a folder that has just changed nothing is kept in memory
    }

    private async Task<List<(string Registry, double Milliseconds)>> StartInTurnsAsync(
        List<IStartedRegistry> registries, Func<IStartedRegistry, string> storageOf)
    {
        var starts = new List<(string Registry, double Milliseconds)>();
        for (var round = -1; round < options.Rounds; round++)
        {
            foreach (var registry in registries)
            {
                await using var server = await registry.StartAsync(storageOf(registry));
                if (round >= 0)
                {
                    starts.Add((registry.Name, server.TimeToAnswer.TotalMilliseconds));
                }
            }
        }

        return starts;
    }

    private void Measure(Load load, List<Peer> peers, ComparisonReport report)
    {
        Console.Error.WriteLine($"{load.Name} ...");
        var able = peers.Where(peer => IsAble(load, peer, report)).ToList();
        var measured = able.ToDictionary(peer => peer, _ => new List<Measurement>());
        foreach (var peer in able)
        {
            if (peer.Process is { } process)
            {
                ResidentMemory.ForgetPeak(process);
            }

            if ((load.Warmup ?? load.Count) is not 0 and var warmup)
            {
                Run(load, peer, warmup, WarmupDuration, report);
            }
        }

        for (var round = 0; round < options.Rounds; round++)
        {
            foreach (var peer in able)
            {
                measured[peer].Add(Run(load, peer, load.Count, RoundDuration, report));
            }
        }

        foreach (var peer in able)
        {
            double? peak = peer.Process is { } process ? ResidentMemory.PeakMiB(process) : null;
            report.Add(new Result(load, peer, measured[peer], measured[able[0]], peak));
        }
    }

    /// <summary>Puts the load's content there; a registry that does not know the operation is left out.</summary>
    private static bool IsAble(Load load, Peer peer, ComparisonReport report)
    {
        try
        {
            using var connection = new Connection(peer.Address);
            connection.Open();
            load.Prepare(peer, connection);
            return true;
        }
        catch (Exception e) when (e is SocketException or IOException or UnexpectedAnswerException)
        {
            report.AddUnable(load, peer, e.Message);
            return false;
        }
    }

    private static Measurement Run(Load load, Peer peer, int? count, TimeSpan duration, ComparisonReport report)
    {
        var operation = load.NextRound(peer, count ?? 0);
        if (load.Writes)
        {
            Disk.Sync();
        }

        GC.Collect(); // not while it is measured
        var round = new Round(peer, load, operation, count, duration);
        var measured = round.Run();
        Console.Error.WriteLine(
            $"  {peer.Name}: {measured.PerSecond:0.0} /s, {measured.CpuMilliseconds:0.000} CPU ms, {measured.Errors} errors");
        if (round.FirstError is { } error)
        {
            report.AddError(load, peer, error);
        }

        return measured;
    }
}
