using System.Globalization;
using System.Net;
using System.Text.Json.Nodes;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Replicas;

/// <summary>R5.5 with three processes, one of which is told a wrong time by its machine.</summary>
public sealed class ClockTests
{
    private readonly string _repository = RegistryClient.NewRepository();

    [Theory]
    [InlineData(Shared.Folder, "+3d")]
    [InlineData(Shared.Folder, "-3d")]
    [InlineData(Shared.Azure, "+10m")] // Azure refuses requests of clocks that are further off
    public async Task A_replica_with_a_wrong_clock_expires_no_upload_of_others_and_reports_its_clock(Shared shared, string offset)
    {
        await using var replicas = await StartAsync(shared, offset, "OciRegistry:Uploads:IdleExpiry=00:05:00");
        var content = RegistryClient.RandomBytes(20_000);
        var locations = new List<string>();
        for (var i = 0; i < replicas.Count; i++)
        {
            var location = await replicas[i].Http.NewUploadAsync(_repository);
            using var patched = await replicas[i].Http.PatchAsync(location, content[..10_000]);
            await patched.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
            locations.Add(patched.Headers.Location!.ToString());
        }

        for (var i = 0; i < replicas.Count; i++)
        {
            var before = await SweepsAsync(replicas[i]);
            await Until.TrueAsync(async () => await SweepsAsync(replicas[i]) >= before + 2, "it has swept");
        }

        for (var i = 0; i < replicas.Count; i++)
        {
            using var closed = await replicas[(i + 1) % replicas.Count].Http.CompleteAsync(
                locations[i], Digest.Of(content).ToString(), content[10_000..]);
            await closed.ShouldHaveStatusAsync(HttpStatusCode.Created);
        }

        (await ClockAsync(replicas[0])).ShouldBe("ready");
        (await ClockAsync(replicas[1])).ShouldBe("degraded");
        await replicas[1].UntilLoggedAsync($"{(offset[0] == '+' ? "ahead of" : "behind")} the storage's. Synchronize it (NTP)");
        replicas[1].Log.Split("Synchronize it (NTP)").Length.ShouldBe(2); // once
    }

    [Theory]
    [InlineData(Shared.Folder, "-3d")]
    [InlineData(Shared.Azure, "-10m")]
    public async Task Abandoned_uploads_expire_beside_a_replica_with_a_wrong_clock(Shared shared, string offset)
    {
        await using var replicas = await StartAsync(shared, offset, "OciRegistry:Uploads:IdleExpiry=00:00:03");
        for (var i = 0; i < replicas.Count; i++)
        {
            using var patched = await replicas[i].Http.PatchAsync(
                await replicas[i].Http.NewUploadAsync(_repository), RegistryClient.RandomBytes(10_000));
        }

        await replicas.AssertNothingRemainsAsync();
    }

    private static async Task<ReplicaSet> StartAsync(Shared shared, string offset, string expiry)
    {
        // Its wall clock alone: files keep their times, and time-outs their length.
        var wrong = Tool.Require("faketime").With("-m", "-f", offset)
            .WithVariable("NO_FAKE_STAT", "1").WithVariable("FAKETIME_DONT_FAKE_MONOTONIC", "1").WithVariable("DONT_FAKE_MONOTONIC", "1");
        var replicas = await ReplicaSet.StartAsync(shared, expiry, "OciRegistry:Uploads:SweepInterval=00:00:00.3");
        await replicas[1].KillAsync();
        await replicas.StartAsync(1, wrong);
        return replicas;
    }

    private static async Task<int> SweepsAsync(ServerProcess replica) => int.Parse(
        (await replica.Http.GetStringAsync(new Uri("/metrics", UriKind.Relative))).Split('\n')
            .Single(line => line.StartsWith("oci_registry_sweeps_total{", StringComparison.Ordinal)
                && line.Contains("\"uploads\"", StringComparison.Ordinal) && line.Contains("\"ok\"", StringComparison.Ordinal))
            .Split(' ')[^1],
        CultureInfo.InvariantCulture);

    private static async Task<string?> ClockAsync(ServerProcess replica)
    {
        using var ready = await replica.Http.GetAsync(new Uri("/readyz", UriKind.Relative));
        ready.StatusCode.ShouldBe(HttpStatusCode.OK);
        return (string?)JsonNode.Parse(await ready.Content.ReadAsStringAsync())!["components"]!["clock"]!["status"];
    }
}
