using OciRegistry.Azure;
using OciRegistry.Server.Settings;
using OciRegistry.Storage.FileSystem;

namespace OciRegistry.Server;

/// <summary>Whether the registry could store where the settings say; what is tried there is removed again.</summary>
internal static class StorageCheck
{
    /// <param name="configuration">All settings.</param>
    /// <param name="isRight">Whether nothing is wrong with them: only then a container can be tried.</param>
    public static async Task<StorageLook> LookAsync(IConfiguration configuration, bool isRight)
    {
        if (!ServerConfiguration.UsesAzureBlobs(configuration))
        {
            return await LookAsync(new FileSystemRoot(ServerConfiguration.DataFolder(configuration)));
        }

        if (!isRight)
        {
            return new StorageLook("", []);
        }

        var options = ServerConfiguration.AzureBlobs(configuration);
        var (problem, isMissing) = await AzureProbe.LookAsync(options);
        var address = new AzureContainer(options, credential: null, TimeProvider.System).Address;
        return Look(address + (isMissing ? ", which the start makes" : ""), problem);
    }

    private static async Task<StorageLook> LookAsync(FileSystemRoot root)
    {
        if (new FileSystemProbe(root).AccessProblem() is { } refused)
        {
            return Look(root.Root, refused);
        }

        if (Directory.Exists(root.Locks) && Directory.Exists(root.Blobs))
        {
            return Look(root.Root, await ProblemAsync(root)); // all folders are there, and stay as they are
        }

        // What a start would make is made in a folder of its own, as near as there is one.
        var nearest = root.Root;
        while (!Path.Exists(nearest))
        {
            nearest = Path.GetDirectoryName(nearest)!;
        }

        var trial = new FileSystemRoot(Path.Combine(nearest, $".check-{Guid.NewGuid():n}"));
        try
        {
            var problem = await ProblemAsync(trial);
            return Look(
                root.Root + (nearest == root.Root ? "" : ", which the start makes"),
                problem?.Replace(trial.Root, root.Root, StringComparison.Ordinal));
        }
        finally
        {
            if (Directory.Exists(trial.Root))
            {
                Directory.Delete(trial.Root, recursive: true);
            }
        }
    }

    private static async ValueTask<string?> ProblemAsync(FileSystemRoot root) =>
        (await new FileSystemProbe(root).ProblemAsync(CancellationToken.None))?.Message;

    private static StorageLook Look(string where, string? problem) => new(where, problem is null ? [] : [problem]);
}

/// <param name="Where">The folder or container, for people to read.</param>
/// <param name="Problems">What keeps the registry from storing there.</param>
internal sealed record StorageLook(string Where, IReadOnlyList<string> Problems);
