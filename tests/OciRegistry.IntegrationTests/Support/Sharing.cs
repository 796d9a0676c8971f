namespace OciRegistry.IntegrationTests.Support;

/// <summary>What the replicas of a test share.</summary>
public enum Shared
{
    /// <summary>A folder; every process has locks of its own, which the others know nothing of.</summary>
    Folder,

    FolderAndRedis,

    /// <summary>A container in Azurite, and locks as over <see cref="Folder"/>.</summary>
    Azure,

    AzureAndRedis,
}

public static class Sharing
{
    public static TheoryData<Shared> Every => [.. Enum.GetValues<Shared>()];

    public static TheoryData<Shared> WithRedis => [Shared.FolderAndRedis, Shared.AzureAndRedis];

    public static bool HasRedis(this Shared shared) => shared is Shared.FolderAndRedis or Shared.AzureAndRedis;

    public static bool IsFolder(this Shared shared) => shared is Shared.Folder or Shared.FolderAndRedis;
}
