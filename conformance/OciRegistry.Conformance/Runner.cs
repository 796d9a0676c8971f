using System.Diagnostics;

namespace OciRegistry.Conformance;

/// <summary>Runs the checks one after the other, each in repositories of its own.</summary>
internal sealed class Runner(Registry registry, Options options)
{
    // A part of every name, so that a registry with the data of older runs does not matter.
    private readonly string _run = Convert.ToHexStringLower(BitConverter.GetBytes(Random.Shared.Next()));

    public async IAsyncEnumerable<Outcome> RunAsync(IEnumerable<Area> areas)
    {
        foreach (var area in areas)
        {
            for (var i = 0; i < area.Checks.Count; i++)
            {
                yield return await RunAsync(area, area.Checks[i], $"{_run}/{area.Name.ToLowerInvariant()}-{i + 1}");
            }
        }
    }

    private async Task<Outcome> RunAsync(Area area, Check check, string suffix)
    {
        var second = new Repository(registry, $"{options.SecondRepository}/{suffix}");
        var repository = new Repository(registry, $"{options.Repository}/{suffix}", second);
        var started = Stopwatch.GetTimestamp();
        CheckFailedException? failure = null;
        try
        {
            await check.Run(repository);
        }
        catch (CheckFailedException broken)
        {
            failure = broken;
        }
        catch (Exception unexpected) when (unexpected is not OutOfMemoryException)
        {
            // An answer that cannot be read at all is the registry's fault as well, and must not end the run.
            var expected = $"no {unexpected.GetType().Name}: {unexpected.Message}";
            failure = new CheckFailedException(expected, null, unexpected);
        }

        return new Outcome(area, check, Stopwatch.GetElapsedTime(started), failure);
    }
}
