using OciRegistry.Server.Settings;
using OciRegistry.Storage.FileSystem;

namespace OciRegistry.Server;

/// <summary>Whether the registry can keep its data where it is told to.</summary>
internal static class DataFolder
{
    private const string Remedy = $"set {Setting.DataFolder} to another folder";

    /// <summary>The folder of the settings; it counts from the current one.</summary>
    public static string Of(IConfiguration configuration) =>
        Path.GetFullPath(configuration[Setting.DataFolder] is { Length: > 0 } path ? path : new FileSystemStoreOptions().Root);

    /// <summary>Null when the folder is there, or could be made, and a file can be written to it.</summary>
    public static string? Problem(string path)
    {
        if (FileInTheWay(path) is { } file)
        {
            return $"The data cannot be kept in {path}: {file} is a file. Move it away, or {Remedy}.";
        }

        try
        {
            Directory.CreateDirectory(path);
            using var probe = new FileStream(
                Path.Combine(path, $".probe-{Guid.NewGuid():N}"),
                new FileStreamOptions
                {
                    Mode = FileMode.CreateNew,
                    Access = FileAccess.Write,
                    Options = FileOptions.DeleteOnClose,
                });
            probe.WriteByte(0);
            probe.Flush(flushToDisk: true);
            return null;
        }
        catch (UnauthorizedAccessException)
        {
            return $"The data cannot be kept in {path}: this program's user may not write there. Let it "
                + $"(chown, chmod), or {Remedy}.";
        }
        catch (IOException exception)
        {
            return $"The data cannot be kept in {path}: {exception.Message.TrimEnd('.')}. Mend that, or {Remedy}.";
        }
    }

    private static string? FileInTheWay(string path)
    {
        for (var folder = path; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (File.Exists(folder))
            {
                return folder;
            }
        }

        return null;
    }
}
