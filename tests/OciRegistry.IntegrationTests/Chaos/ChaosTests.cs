using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Chaos;

/// <summary>R5: writers, readers and sweeps on three replicas that are killed and paused; an oracle checks every response.</summary>
public sealed class ChaosTests(ITestOutputHelper output)
{
    private const int Readers = 2;
    private const int ShownViolations = 8;
    private static readonly TimeSpan Round = TimeSpan.FromSeconds(30);

    private int _unusedBefore;

    [Theory]
    [InlineData(Shared.Folder, true)]
    [InlineData(Shared.FolderAndRedis, false)]
    [InlineData(Shared.AzureAndRedis, false)]
    public async Task Every_response_is_explained_while_replicas_are_killed_and_paused(Shared shared, bool oneIsAhead)
    {
        var random = new Random(Seed.Next(output));
        var content = new ChaosContent(random);
        await using var upstream = await FakeUpstream.StartAsync();
        content.AddTo(upstream, "mirror");
        await using var folder = new TempFolder();
        await using var set = await ReplicaSet.StartAsync(
            shared, [.. ChaosSettings.ServerSettings(upstream.Url), .. TlsSettings(folder)]);
        if (oneIsAhead)
        {
            await set[0].KillAsync();
            await set.StartAsync(0, TenMinutesAhead());
        }

        using var replicas = new ChaosReplicas(set);
        var history = new ChaosHistory();
        for (var round = 0; round < Counts.Of(ci: 1, full: 20); round++)
        {
            await RunAsync(replicas, set.Redis, history, content, random);
            upstream.ForgetCalls();

            // Interrupted requests end with their process, and with the cleanup of the uploads that they leave.
            await Task.WhenAll(Enumerable.Range(0, replicas.Count).Select(replicas.KillAsync));
            await AssertNoUploadRemainsAsync(set.Storage);
            var values = await new ChaosAudit(replicas, history, content).RunAsync();
            string[] violations = [.. history.Violations, .. new ChaosOracle(history).FindViolations()];
            violations.Length.ShouldBe(0, $"round {round}\n{string.Join("\n", violations.Take(ShownViolations))}");
            await set.AssertContentIsWholeAsync();
            await set.AssertNoLockIsHeldAsync();
            history.BeginWith(values);
        }
    }

    /// <summary>Starts a program with its clock 10 minutes ahead; the times of files stay right.</summary>
    private static Tool TenMinutesAhead()
    {
        Tool.Require("faketime");
        var library = Directory.EnumerateFiles("/usr/lib", "libfaketime.so.1", SearchOption.AllDirectories).First();
        return Tool.Require("env").With(
            $"LD_PRELOAD={library}", "FAKETIME=+600s", "FAKETIME_DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1");
    }

    private static string[] TlsSettings(TempFolder folder)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var certificate = new CertificateRequest("CN=chaos", key, HashAlgorithmName.SHA256)
            .CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        File.WriteAllText(folder["server.pem"], certificate.ExportCertificatePem());
        File.WriteAllText(folder["server.key"], key.ExportPkcs8PrivateKeyPem());
        return
        [
            $"Kestrel:Certificates:Default:Path={folder["server.pem"]}",
            $"Kestrel:Certificates:Default:KeyPath={folder["server.key"]}",
        ];
    }

    /// <summary>
    /// Temporary files of killed processes remain for an hour; of uploads nothing remains, but for the blob that a late writer
    /// puts together when its session has ended elsewhere, before it is killed (README.md of OciRegistry.Azure).
    /// </summary>
    private async Task AssertNoUploadRemainsAsync(ISharedStorage storage)
    {
        try
        {
            await Until.TrueAsync(
                async () => (await storage.SessionsAsync()).Count == 0 && (await storage.UnusedAsync()).Count <= _unusedBefore,
                "the cleanup has completed or discarded all uploads");
        }
        catch (TimeoutException)
        {
            (await storage.SessionsAsync()).ShouldBeEmpty();
            var unused = await storage.UnusedAsync();
            unused.Count.ShouldBeLessThanOrEqualTo(_unusedBefore + 1, string.Join('\n', unused));
            unused.ForEach(output.WriteLine);
            _unusedBefore = unused.Count;
        }
    }

    private async Task RunAsync(
        ChaosReplicas replicas, RedisServer? redis, ChaosHistory history, ChaosContent content, Random random)
    {
        using var done = new CancellationTokenSource(Round);
        var clients = Enumerable.Range(0, ChaosSettings.Writers + Readers)
            .Select(i => new ChaosClient(
                i < ChaosSettings.Writers ? $"writer {i}" : "reader", replicas, history, random.Next(), overHttp2: i % 3 == 0))
            .ToArray();
        var faults = new ChaosFaults(replicas, redis, new Random(random.Next()));
        await Task.WhenAll(
        [
            .. clients.Take(ChaosSettings.Writers).Select((client, i) => new ChaosWriter(i, client, content).RunAsync(done.Token)),
            .. clients.Skip(ChaosSettings.Writers).Select(client => new ChaosReader(client, content).RunAsync(done.Token)),
            faults.RunAsync(done.Token),
        ]);
        output.WriteLine(
            $"{clients.Sum(client => client.Count.Answered)} requests with a known result, "
            + $"{clients.Sum(client => client.Count.Lost)} without; {faults.Kills} kills, {faults.Pauses} pauses, {faults.RedisKills} kills of Redis.");
    }
}
