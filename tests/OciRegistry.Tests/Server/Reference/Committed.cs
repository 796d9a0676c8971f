using System.Runtime.CompilerServices;

namespace OciRegistry.Tests.Server.Reference;

/// <summary>The files that stand beside the program, as they are committed.</summary>
internal static class Committed
{
    public static string Path(string name) => System.IO.Path.Combine(Root(), "src", "OciRegistry.Server", name);

    /// <summary>The folder of the checkout.</summary>
    public static string Root([CallerFilePath] string path = "") =>
        System.IO.Path.GetFullPath(System.IO.Path.Combine(System.IO.Path.GetDirectoryName(path)!, "..", "..", "..", ".."));
}
