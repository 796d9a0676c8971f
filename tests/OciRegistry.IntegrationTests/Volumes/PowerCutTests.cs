using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Volumes;

/// <summary>
/// The power is cut at a random moment while clients push, move tags and delete: what was acknowledged is as it was said,
/// and what is stored is whole.
/// </summary>
public sealed class PowerCutTests(ITestOutputHelper output)
{
    private const int Writers = 4;

    [Theory]
    [InlineData("ext4")]
    [InlineData("xfs")]
    public async Task What_was_acknowledged_is_there_after_a_power_cut(string type)
    {
        var random = new Random(Seed.Next(output));
        await using var volume = await LoopVolume.MountAsync(type);
        var root = Path.Combine(volume.Path, "data");
        var writers = Enumerable.Range(0, Writers).Select(i => new ImageWriter($"writer{i}/images", random.Next())).ToArray();
        var acknowledged = 0;
        for (var cut = 0; cut < Counts.Of(ci: 3, full: 30); cut++)
        {
            await using (var server = await ServerProcess.StartOnAsync(root, null, "OciRegistry:Uploads:CommitWait=00:00:01"))
            {
                foreach (var writer in writers)
                {
                    await writer.AssertAsync(server.Http, $"after cut {cut}");
                }

                var writing = Task.WhenAll(writers.Select(writer => Task.Run(() => writer.WriteUntilItFailsAsync(server.Http))));
                var enough = random.Next(1, 30);
                var before = writers.Sum(writer => writer.Acknowledged);
                await Until.TrueAsync(() => writers.Sum(writer => writer.Acknowledged) >= before + enough, "clients were answered");
                await Task.Delay(TimeSpan.FromMicroseconds(random.Next(50_000)));
                volume.CutPower();
                await writing;
                await server.KillAsync();
            }

            await volume.RemountAsync();
            AssertContentIsWhole(root, $"after cut {cut}");
            acknowledged = writers.Sum(writer => writer.Acknowledged);
        }

        await using (var last = await ServerProcess.StartOnAsync(root))
        {
            foreach (var writer in writers)
            {
                await writer.AssertAsync(last.Http, "after the last cut");
            }
        }

        output.WriteLine($"{acknowledged} operations were acknowledged.");
    }

    private static void AssertContentIsWhole(string root, string when)
    {
        foreach (var file in Directory.EnumerateFiles(Path.Combine(root, "blobs"), "*", SearchOption.AllDirectories))
        {
            Digest.Of(File.ReadAllBytes(file)).Hex.ShouldBe(Path.GetFileName(file), when);
        }
    }
}
