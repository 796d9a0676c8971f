using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using static OciRegistry.Tests.Charts.Release;

namespace OciRegistry.Tests.Charts;

/// <summary>
/// The folders of a pod below one of ours, as a node lays them: a file of a ConfigMap or Secret is a link into <c>..data</c>, which is
/// a link itself, and turns to another folder when the object has changed.
/// </summary>
internal sealed partial class MountedPod : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("oci-registry-pod-").FullName;
    private int _version;

    public MountedPod(Release release) => Update(release);

    /// <summary>The server's arguments, on a port of this machine.</summary>
    public string ArgumentsOf(Release release) => string.Join(
        ' ',
        release.Server["args"]!.AsArray().Select(argument => Below((string)argument!)).Where(argument => !argument.StartsWith("--urls=", StringComparison.Ordinal))
            .Append("--urls=http://127.0.0.1:0"));

    /// <summary>What objects of another release have reaches the pod.</summary>
    public void Update(Release release)
    {
        _version++;
        var volumes = Entries(Spec(release.Workload["spec"]!["template"]!)["volumes"]).ToDictionary(volume => (string)volume["name"]!);
        foreach (var mount in Entries(release.Server["volumeMounts"]))
        {
            var folder = Directory.CreateDirectory(_root + (string)mount["mountPath"]!).FullName;
            if (volumes.TryGetValue((string)mount["name"]!, out var volume) && FilesOf(release, volume) is { } files)
            {
                Mount(folder, files);
            }
        }
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private void Mount(string folder, IEnumerable<(string Name, string Content)> files)
    {
        var version = Directory.CreateDirectory(Path.Combine(folder, $"..{_version}"));
        foreach (var (name, content) in files)
        {
            File.WriteAllText(Path.Combine(version.FullName, name), Below(content));
            if (!File.Exists(Path.Combine(folder, name)))
            {
                File.CreateSymbolicLink(Path.Combine(folder, name), Path.Combine("..data", name));
            }
        }

        var (now, next) = (Path.Combine(folder, "..data"), Path.Combine(folder, "..data_tmp"));
        Directory.CreateSymbolicLink(next, version.Name);
        Rename(next, now).ShouldBe(0); // .NET moves no link to a folder onto another
    }

    private static IEnumerable<(string Name, string Content)>? FilesOf(Release release, JsonObject volume) =>
        volume["configMap"] is { } map
            ? release.Find("ConfigMap", (string)map["name"]!)!["data"]!.AsObject().Select(pair => (pair.Key, (string)pair.Value!))
        : volume["secret"] is { } secret
            ? Entries(secret["items"]).Select(item => (
                (string)item["path"]!,
                (string)release.Find("Secret", (string)secret["secretName"]!)!["stringData"]![(string)item["key"]!]!))
        : null;

    [LibraryImport("libc", EntryPoint = "rename", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Rename(string from, string to);

    // The paths of the pod that the chart knows.
    private string Below(string text) => text
        .Replace("/etc/", $"{_root}/etc/", StringComparison.Ordinal)
        .Replace("/var/lib/", $"{_root}/var/lib/", StringComparison.Ordinal);
}
