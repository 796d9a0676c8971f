using System.Globalization;
using System.Text.RegularExpressions;

namespace OciRegistry.IntegrationTests.Disks;

/// <summary>
/// What a server asked of the disk and what it answered, in order, from a log of strace; and the order that a push needs so
/// that what was acknowledged survives a power cut.
/// </summary>
internal sealed partial class DiskTrace
{
    /// <summary>Calls that change what is on the disk or write it there, and the answers to clients.</summary>
    public const string Calls =
        "openat,pwrite64,ftruncate,sync_file_range,fsync,rename,link,unlink,mkdir,rmdir,sendmsg,sendto";

    private readonly string _root;
    private readonly List<DiskCall> _calls;

    private DiskTrace(string root, List<DiskCall> calls) => (_root, _calls) = (root, calls);

    /// <summary>The calls to the disk, each with its number among those of its thread and name: so strace counts.</summary>
    public IReadOnlyList<DiskCall> DiskCalls => [.. _calls.Where(call => call.Name is not ("sendmsg" or "sendto"))];

    public bool HasInjected => _calls.Any(call => call.IsInjected);

    /// <param name="log">The log of <c>strace -f -y -s 32</c>.</param>
    /// <param name="root">The folder of the server's storage: calls elsewhere are left out.</param>
    public static DiskTrace Read(string log, string root)
    {
        var begun = new Dictionary<string, string>();
        var counts = new Dictionary<(string Thread, string Name), int>();
        var calls = new List<DiskCall>();
        foreach (var line in File.ReadLines(log))
        {
            var (thread, text) = line.IndexOf(' ') is > 0 and var space ? (line[..space], line[space..].TrimStart()) : ("", line);
            if (Unfinished().Match(text) is { Success: true } unfinished)
            {
                begun[thread] = unfinished.Groups["text"].Value;
                continue;
            }

            if (Resumed().Match(text) is { Success: true } resumed && begun.Remove(thread, out var before))
            {
                text = before + resumed.Groups["text"].Value;
            }

            if (Call().Match(text) is { Success: true } call)
            {
                var name = call.Groups["name"].Value;
                var nth = counts[(thread, name)] = counts.GetValueOrDefault((thread, name)) + 1;
                var arguments = call.Groups["arguments"].Value;
                if (name is "sendmsg" or "sendto" || arguments.Contains(root, StringComparison.Ordinal))
                {
                    calls.Add(new DiskCall(
                        name,
                        nth,
                        arguments,
                        call.Groups["result"].Value[0] != '-',
                        text.Contains("INJECTED", StringComparison.Ordinal)));
                }
            }
        }

        return new DiskTrace(root, calls);
    }

    /// <summary>What breaks the order, in words; empty when nothing does.</summary>
    /// <remarks>
    ///   a file gets its final name               only synced since its last write, and never after a sync that failed
    ///   a name is made or deleted                the folder is synced before the next 201, and before the end of the trace
    ///   a folder is removed                      the one above is synced instead: without its name it has no entries
    ///   a sync of a folder failed                the next sync counts only when an entry has changed in between
    /// </remarks>
    public List<string> Violations()
    {
        var violations = new List<string>();
        var dirty = new HashSet<string>();
        var condemned = new HashSet<string>();
        var pending = new HashSet<string>();
        var failed = new HashSet<string>();
        var unchanged = new HashSet<string>(); // since that failure
        foreach (var call in _calls)
        {
            switch (call.Name)
            {
                case "sendmsg" or "sendto" when call.Arguments.Contains("HTTP/1.1 201", StringComparison.Ordinal):
                    violations.AddRange(pending.Select(folder => $"201 before {folder} was synced"));
                    break;

                case "fsync" or "sync_file_range" when PathOf(call) is { } path:
                    if (!call.Succeeded)
                    {
                        condemned.Add(path);
                        failed.Add(path);
                        unchanged.Add(path);
                    }
                    else if (call.Name == "fsync")
                    {
                        dirty.Remove(path);
                        if (!unchanged.Contains(path))
                        {
                            failed.Remove(path);
                            pending.Remove(path);
                        }
                    }

                    break;

                case "pwrite64" or "ftruncate" when call.Succeeded && PathOf(call) is { } path:
                    dirty.Add(path);
                    break;

                case "openat" when call.Succeeded && call.Arguments.Contains("O_CREAT", StringComparison.Ordinal):
                    unchanged.Remove(FolderOf(NamesOf(call)[0]));
                    break;

                case "rename" when call.Succeeded:
                    var (source, target) = (NamesOf(call)[0], NamesOf(call)[1]);
                    if (IsKept(target))
                    {
                        violations.AddRange(dirty.Contains(source) ? [$"{source} became {target} before it was synced"] : []);
                        violations.AddRange(condemned.Contains(source) ? [$"{source} became {target} after a sync that failed"] : []);
                        pending.Add(FolderOf(target));
                    }

                    dirty.Remove(source);
                    condemned.Remove(source);
                    unchanged.Remove(FolderOf(source));
                    unchanged.Remove(FolderOf(target));
                    break;

                case "unlink" or "mkdir" or "link" when call.Succeeded:
                    var name = NamesOf(call)[^1];
                    unchanged.Remove(FolderOf(name));
                    dirty.Remove(name);
                    condemned.Remove(name);
                    if (IsKept(name) && call.Name != "link")
                    {
                        pending.Add(FolderOf(name));
                    }

                    break;

                case "rmdir" when call.Succeeded:
                    var folder = NamesOf(call)[^1];
                    unchanged.Remove(FolderOf(folder));
                    if (pending.Remove(folder))
                    {
                        pending.Add(FolderOf(folder));
                    }

                    break;
            }
        }

        violations.AddRange(pending.Select(folder => $"{folder} was never synced"));
        return violations;
    }

    /// <summary>The folders of documents that got their names, and those above, that were not synced at any time.</summary>
    public IReadOnlyList<string> UnsyncedFolders()
    {
        var synced = _calls.Where(call => call.Name == "fsync" && call.Succeeded).Select(PathOf).ToHashSet();
        var documents = Path.Combine(_root, "documents");
        var folders = _calls.Where(call => call.Name == "rename" && call.Succeeded)
            .Select(call => NamesOf(call)[1])
            .Where(target => IsKept(target) && target.StartsWith(documents, StringComparison.Ordinal))
            .SelectMany(Above)
            .ToHashSet();
        return [.. folders.Where(folder => !synced.Contains(folder)).Order()];

        IEnumerable<string> Above(string path)
        {
            while (path != documents)
            {
                path = FolderOf(path);
                yield return path;
            }
        }
    }

    private static string FolderOf(string path) => Path.GetDirectoryName(path)!;

    private static string[] NamesOf(DiskCall call) =>
        [.. Quoted().Matches(call.Arguments).Select(match => match.Groups[1].Value)];

    private static string? PathOf(DiskCall call) =>
        OpenFile().Match(call.Arguments) is { Success: true } match ? match.Groups[1].Value : null;

    /// <summary>What must survive a power cut: content and documents, but no sessions and no hints.</summary>
    private bool IsKept(string path)
    {
        var relative = Path.GetRelativePath(_root, path);
        return relative.StartsWith("blobs", StringComparison.Ordinal)
            || (relative.StartsWith("documents", StringComparison.Ordinal)
                && !relative.Contains("_uploads", StringComparison.Ordinal)
                && !relative.Contains("/_tagged/", StringComparison.Ordinal)
                && !Path.GetFileName(path).StartsWith(".sync-", StringComparison.Ordinal));
    }

    [GeneratedRegex(@"^(?<text>\w+\(.*?)\s*<unfinished \.\.\.>")]
    private static partial Regex Unfinished();

    [GeneratedRegex(@"^<\.\.\. \w+ resumed>(?<text>.*)$")]
    private static partial Regex Resumed();

    [GeneratedRegex(@"^(?<name>\w+)\((?<arguments>.*)\)\s+= (?<result>\S+)")]
    private static partial Regex Call();

    [GeneratedRegex("\"([^\"]*)\"")]
    private static partial Regex Quoted();

    [GeneratedRegex(@"^\d+<([^>]*)>")]
    private static partial Regex OpenFile();
}

internal sealed record DiskCall(string Name, int Nth, string Arguments, bool Succeeded, bool IsInjected)
{
    public bool MayNeedSpace =>
        Name is not "unlink" && (Name != "openat" || Arguments.Contains("O_CREAT", StringComparison.Ordinal));

    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{Nth}. {Name}({Arguments})");
}
