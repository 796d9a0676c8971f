using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace OciRegistry.IntegrationTests.Chaos;

/// <summary>
/// Decides which responses the clients may have received. Each read must be explained by some order of the writes in which
/// writes that did not overlap keep their order. The history must be complete.
/// </summary>
/// <remarks>
/// A write that was answered 2xx took effect between its start and its end; one that was answered 4xx did not. One that was
/// interrupted or answered 5xx may take effect at any time until its process is killed, or never. An upload that the cleanup
/// completes after that needs no exception: unless the blob was deleted since, it may have been there before. A DELETE of a
/// manifest removes the tags that point to it at that time.
/// </remarks>
internal sealed class ChaosOracle(ChaosHistory history)
{
    private const int ShownCalls = 20;

    private readonly Dictionary<ChaosKey, KeySteps> _steps = [];

    /// <summary>The first read of each key that no order explains, with the operations before it; the earliest first.</summary>
    public IReadOnlyList<string> FindViolations() =>
    [
        .. history.Keys
            .Select(key => (Key: key, Read: history[key].Reads.OrderBy(read => read.Start)
                .FirstOrDefault(read => !MayBe(key, read.Value, read.Start, read.End))))
            .Where(found => found.Read is not null)
            .OrderBy(found => found.Read!.Start)
            .Select(found => Describe(found.Key, found.Read!)),
    ];

    /// <summary>Whether the key may have had the value at some moment between start and end.</summary>
    public bool MayBe(ChaosKey key, string? value, long start, long end) => Steps(key) is var steps && value switch
    {
        null => MayBeAbsent(steps, start, end),
        ChaosHistory.Some => steps.Values.Any(set => MayBeSet(steps, set, start, end)),
        _ => MayBeSet(steps, value, start, end),
    };

    private static bool MayBeSet(KeySteps steps, string value, long start, long end)
    {
        var replaced = LastStart(steps.Certain(value), start);
        return steps.Sets(value).Any(set => set.Start <= end && set.End >= replaced);
    }

    private static bool MayBeAbsent(KeySteps steps, long start, long end)
    {
        var lastSet = LastStart(steps.CertainSets, start);
        if (lastSet == long.MinValue || steps.Clears.Any(clear => clear.Start <= end && clear.End >= lastSet))
        {
            return true;
        }

        // The DELETE of a manifest removes a tag that points to it, and no tag that has moved on.
        return steps.Values.Any(digest => steps.Sets(digest).Any(set =>
        {
            var others = steps.CertainSets.Where(other => !ReferenceEquals(other, set));
            return set.Start <= end && set.End >= LastStart(others, start) && steps.ConditionalClears(digest).Any(
                clear => clear.Start <= end && clear.End >= set.Start);
        }));
    }

    /// <summary>The latest start of the steps that ended before; a step that ended earlier than that was replaced.</summary>
    private static long LastStart(IEnumerable<Step> certain, long before) =>
        certain.Where(step => step.End < before).Select(step => step.Start).DefaultIfEmpty(long.MinValue).Max();

    private KeySteps Steps(ChaosKey key)
    {
        if (_steps.TryGetValue(key, out var known))
        {
            return known;
        }

        var writes = history[key].Writes;
        var ofManifests = key.Kind != KeyKind.Tag ? [] : writes.Where(write => write.Value is not null)
            .Select(write => write.Value!).Distinct()
            .ToDictionary(digest => digest, digest => Clears(key with { Kind = KeyKind.Manifest, Name = digest }));
        return _steps[key] = new KeySteps(
            [.. writes.Where(write => write.Fate != Fate.Rejected).Select(Step.Of)], ofManifests);
    }

    private List<Step> Clears(ChaosKey key)
    {
        var writes = history[key].Writes;
        return [.. writes.Where(write => write.Value is null && write.Fate != Fate.Rejected).Select(Step.Of)];
    }

    private string Describe(ChaosKey key, ChaosRead read)
    {
        var writes = history[key].Writes.Select(write => (write.Start, write.End, What: write.Fate.ToString(), write.Call));
        if (key.Kind == KeyKind.Tag)
        {
            writes = writes.Concat(history[key].Writes.Select(write => write.Value).OfType<string>().Distinct()
                .SelectMany(digest => history[key with { Kind = KeyKind.Manifest, Name = digest }].Writes)
                .Where(write => write.Value is null)
                .Select(write => (write.Start, write.End, What: write.Fate.ToString(), write.Call)));
        }

        var reads = history[key].Reads.Select(one => (one.Start, one.End, What: $"read {Short(one.Value)}", one.Call));
        var text = new StringBuilder().AppendLine(CultureInfo.InvariantCulture, $"{key} cannot be {Short(read.Value)} in");
        Line(text, (read.Start, read.End, $"read {Short(read.Value)}", read.Call));
        text.AppendLine("after");
        foreach (var call in writes.Concat(reads).Where(call => call.Start <= read.End && call.Call != read.Call)
            .Where(call => call.What != nameof(Fate.Rejected))
            .OrderByDescending(call => call.Start).Take(ShownCalls).Reverse())
        {
            Line(text, call);
        }

        return text.ToString();
    }

    private static void Line(StringBuilder text, (long Start, long End, string What, ChaosCall Call) call) => text.AppendLine(
        CultureInfo.InvariantCulture, $"  {Seconds(call.Start)} to {Seconds(call.End)}  {call.What,-14} {call.Call}");

    private static string Seconds(long at) => at == long.MaxValue
        ? "   (open)"
        : (at / (double)Stopwatch.Frequency % 10_000).ToString("0000.0000", CultureInfo.InvariantCulture);

    private static string Short(string? value) => value is null ? "absent" : value.Length > 19 ? value[..19] : value;

    /// <summary>A write, and the interval in which it took effect, or may have.</summary>
    private sealed record Step(string? Value, long Start, long End, bool IsCertain)
    {
        public static Step Of(ChaosWrite write) => new(
            write.Value,
            write.Start,
            write.Fate == Fate.Unknown ? write.Process?.Ended ?? long.MaxValue : write.End,
            write.Fate == Fate.Succeeded);
    }

    private sealed class KeySteps(List<Step> steps, IReadOnlyDictionary<string, List<Step>> clearsByManifest)
    {
        public IEnumerable<string> Values => steps.Select(step => step.Value).OfType<string>().Distinct();

        public IEnumerable<Step> Clears => steps.Where(step => step.Value is null);

        public IEnumerable<Step> CertainSets => steps.Where(step => step is { IsCertain: true, Value: not null });

        public IEnumerable<Step> Sets(string value) => steps.Where(step => step.Value == value);

        public List<Step> ConditionalClears(string digest) => clearsByManifest.GetValueOrDefault(digest, []);

        /// <summary>The certain writes after which an older write of the value no longer counts.</summary>
        public IEnumerable<Step> Certain(string value) =>
            steps.Concat(ConditionalClears(value)).Where(step => step.IsCertain);
    }
}
