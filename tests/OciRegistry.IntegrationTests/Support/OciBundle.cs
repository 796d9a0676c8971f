using System.Text.Json.Nodes;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>
/// An image that umoci has unpacked, to be run by runc as its configuration says, with a root file system that cannot be
/// written to. It shares the machine's network, and no cgroups, which need a machine of their own.
/// </summary>
internal sealed class OciBundle(string folder)
{
    private readonly JsonNode _config = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "config.json")))!;
    private readonly List<JsonNode> _mounts = [];

    /// <summary>What the image says is to run, and as whom.</summary>
    public JsonNode Process => _config["process"]!;

    public static async Task<OciBundle> UnpackAsync(string layout, string tag, string folder)
    {
        await Tool.Require("umoci").RunAsync("unpack", "--image", $"{layout}:{tag}", folder);
        return new OciBundle(folder);
    }

    public OciBundle WithVariable(string name, string value)
    {
        Process["env"]!.AsArray().Add($"{name}={value}");
        return this;
    }

    /// <summary>Mounts a folder of the machine, for writing.</summary>
    public OciBundle WithFolder(string path, string target) => WithMount(target, "bind", path, "rbind", "rw");

    public OciBundle WithTemporaryFolder(string target) => WithMount(target, "tmpfs", "tmpfs", "mode=1777");

    public Tool Runnable()
    {
        Tool.RequireRoot("runc");
        Process["terminal"] = false;
        _config["root"]!["readonly"] = true;
        _config["mounts"] = new JsonArray(
        [
            .. _config["mounts"]!.AsArray().Where(mount => (string)mount!["type"]! is not ("sysfs" or "cgroup"))
                .Select(mount => mount!.DeepClone()),
            .. _mounts,
        ]);
        _config["linux"]!["namespaces"] = new JsonArray(
        [
            .. _config["linux"]!["namespaces"]!.AsArray()
                .Where(space => (string)space!["type"]! is not ("network" or "user" or "cgroup")).Select(space => space!.DeepClone()),
        ]);
        _config["linux"]!.AsObject().Remove("resources");
        File.WriteAllText(Path.Combine(folder, "config.json"), _config.ToJsonString());
        return Tool.Require("runc").With("--root", $"{folder}.state", "run", "--bundle", folder, $"test-{Guid.NewGuid():n}");
    }

    private OciBundle WithMount(string target, string type, string source, params string[] options)
    {
        _mounts.Add(new JsonObject
        {
            ["destination"] = target,
            ["type"] = type,
            ["source"] = source,
            ["options"] = new JsonArray([.. options.Select(option => JsonValue.Create(option))]),
        });
        return this;
    }
}
